"""Images in and out: files, colour, tiles, measures of quality."""
