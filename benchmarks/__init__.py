"""`make bench`: medians with the physical limit beside them. Times are shown, never asserted."""
