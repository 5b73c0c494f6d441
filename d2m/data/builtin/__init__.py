"""The built-in corpus: songs and dances computed from a seed, free of rights.

clips    the corpus: songs on disk, each with its dance
songs    synthesised songs and drum tracks with known beats
dancers  dances on the beats of a song, with known kinematic beats
moves    the moves of three styles as key poses
"""
