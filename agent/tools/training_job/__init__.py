"""The process that trains a model for the page: `python -m agent.tools.training_job FOLDER`.

`job.py`: the steps and their states; `images.py`: the good images, uploaded and kept by the agent; `comparison.py`: the
new model beside the one in force; `rights.py`: what the process gives up first. Loads torch.
"""
