"""Code behind the notebooks: parameters, results of a run, interactive controls.

parameters   the notebooks' parameters and their checks
showcase     computes the results of a run that the notebooks draw
panel        the functions of notebook 5's dance panel
widgets      the interactive controls, built with ipywidgets
"""
