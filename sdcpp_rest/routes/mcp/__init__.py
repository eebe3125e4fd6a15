"""MCP at /mcp: tools and resources for AI agents; must not know another dialect."""
