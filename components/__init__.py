"""What screens are made of: widgets, the shell around them, and the one bridge to the database."""
