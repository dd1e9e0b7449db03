"""Millions of pages: documents in folders, lists, Parquet files and object stores -> rows of Parquet or JSON Lines.

`documents` finds what there is to read; `parts` are the files of the output; `run` reads chunks of documents into
parts, on this machine or on a Ray cluster.
"""
