"""Floor 4: doors to other people's inference, through which our scorer and sweep can be used. One library, one file."""
