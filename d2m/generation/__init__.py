"""From a song to a dance: compose, chain, warp.

generate     the whole way from a song to a dance
compose      which movements a song is danced with: drawn from a repertoire, or from E_mus as published
beat_warp    a dance in beat time put on the beats of a song
"""
