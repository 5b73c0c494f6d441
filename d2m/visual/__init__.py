"""Pictures: figures for the notebooks, charts of measurements, frames, videos and the player of a dance.

figures      the common style, saving, alternative texts; strips of poses, beats over time
charts       losses, histograms, confusion matrices, scores of dances and of controls
render       frames, mp4 with music, GIF
player       a dance with its song in one HTML file and in notebooks: played, turned round, sent
"""
