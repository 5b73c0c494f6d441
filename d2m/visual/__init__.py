"""Pictures: figures for the notebooks, charts of measurements, frames and videos of a dance.

figures      one style and one `save`; strips of poses, beats over time
charts       losses, histograms, confusion matrices, scores beside their controls
render       frames, mp4 with music, GIF
"""
