"""How well text was found and read: counts per picture that add up, and scores of their sums.

`detection`: boxes one to one by IoU, and by area, which forgives splitting and merging; `recognition`: lines already
cut out; `end_to_end`: boxes and texts together; `page_text`: characters of a page, whatever the boxes' granularity.
NumPy and Shapely only.
"""
