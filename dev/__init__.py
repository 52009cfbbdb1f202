"""Tools of the checkout: set-up, local servers, the demonstration.

Never installed with the package.
"""
