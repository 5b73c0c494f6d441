"""Songs that train the beat network: synthesised, so that every beat is known and nobody's music is in the weights.

grooves      the rhythms: drum patterns with metre and tempo
arrangement  a song as notes on a beat grid: sections, drums, bass, chords, melody, voice
rendering    the notes as sound: FluidSynth, drum and voice synthesis, effects, codecs
"""
