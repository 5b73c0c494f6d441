"""Code behind the notebooks: parameters, results of a run, interactive controls.

parameters   the notebooks' parameters and their checks
showcase     results of a run that the notebooks draw
panel        what the controls of notebook 5 do
widgets      the controls, as ipywidgets
"""
