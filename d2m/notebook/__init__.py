"""What the notebooks stand on: parameters, figures of a run, controls.

parameters   the notebooks' parameters, checked
showcase     what the notebooks show of a run
panel        what notebook 5's controls do
widgets      the ipywidgets face
"""
