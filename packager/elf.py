"""What an ELF file says of itself: machine, needed libraries, symbol versions. Pure."""
