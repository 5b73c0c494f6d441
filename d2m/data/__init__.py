"""Data: recordings of any format, corpora, and the tensors that training draws from.

sources      the clips in a folder, whatever their format
unread       what the files are that no reader takes
folders      song, style and frame rate of a clip from its folders
retarget     a recording at 15 poses a second, on one body and one floor
corpus       corpora: built, checked, split, cached
dataset      units, phrases and style windows as tensors
video        keypoints of the dancer in a video, estimated by MediaPipe
formats      one reader a format
builtin      the built-in corpus: computed songs and dancers
synthesis    the songs that train the beat network
"""
