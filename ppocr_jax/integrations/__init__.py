"""Where people already are: `mcp_server` for assistants, `langchain` for chains, `label_studio` for those who label."""
