"""What commands print: text and documents made from results."""
