"""Where the outside world begins: one room per kind of provider, each a narrow Protocol. Values in, values out."""
