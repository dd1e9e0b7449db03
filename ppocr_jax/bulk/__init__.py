"""Read millions of pages in folders, lists, Parquet files and object stores to rows of Parquet or JSON Lines.

`documents` finds the documents to read, `parts` writes the files of the output, and `run` reads chunks of documents
into parts, on one machine or a Ray cluster.
"""
