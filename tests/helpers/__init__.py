"""What several tests share: one noun per module."""
