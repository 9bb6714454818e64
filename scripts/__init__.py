"""What a checkout needs and a user does not; nothing here is part of the wheel."""
