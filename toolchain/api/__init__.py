"""What `import snn_tool` offers: a thin face over what the command line calls, for images in memory."""
