"""The built-in corpus: songs and dances computed from a seed, free of anybody's rights.

clips    songs on disk with their dances
songs    synthesised songs and drum tracks with known beats
dancers  phrases of moves, danced on known beats
moves    the moves as key poses
"""
