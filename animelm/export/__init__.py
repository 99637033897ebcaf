"""An adapter to what other tools open, checked by them: PEFT, merged weights, MXFP4, GGUF."""
