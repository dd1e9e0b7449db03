"""Integrations: `mcp_server` for assistants, `langchain`, `docling`, and `label_studio` for annotation."""
