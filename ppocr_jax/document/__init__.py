"""Recognized documents: `Page`s of `Line`s of `Word`s of `Char`s, and their output as text, JSON, CSV, Markdown, hOCR,
ALTO, searchable PDF, or drawing."""

from ppocr_jax.document.layout import to_layout
from ppocr_jax.document.output import OutputFile, refuse_to_overwrite, write_text
from ppocr_jax.document.page import Char, Line, Page, Word
from ppocr_jax.document.save import WITH_WORDS, WRITERS, format_of, save_page, save_image, write_pages
from ppocr_jax.document.tables import Table, find_tables, tables_to_csv, tables_to_markdown
from ppocr_jax.document.text import pages_in_jsonl, to_json, to_jsonl, to_markdown, to_table, to_text
from ppocr_jax.document.xml import to_alto, to_hocr

__all__ = [
    "WITH_WORDS",
    "WRITERS",
    "Char",
    "Line",
    "OutputFile",
    "Page",
    "Table",
    "Word",
    "find_tables",
    "format_of",
    "pages_in_jsonl",
    "refuse_to_overwrite",
    "save_image",
    "save_page",
    "tables_to_csv",
    "tables_to_markdown",
    "to_alto",
    "to_hocr",
    "to_json",
    "to_jsonl",
    "to_layout",
    "to_markdown",
    "to_table",
    "to_text",
    "write_pages",
    "write_text",
]
