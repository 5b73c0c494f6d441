"""Pictures: figures for the notebooks, charts of measurements, frames and videos of a dance.

figures      the common style, saving, alternative texts; strips of poses, beats over time
charts       losses, histograms, confusion matrices, scores of dances and of controls
render       frames, mp4 with music, GIF
"""
