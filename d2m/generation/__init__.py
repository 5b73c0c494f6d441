"""From a song to a dance: compose, chain, warp.

generate     the whole way from a song to a dance
compose      the movements for a song: drawn from a repertoire, or from E_mus as published
beat_warp    a dance in beat time warped onto the beats of a song
"""
