"""Figures with intervals from the noisy tables of a linked study: post-processing, and free.

Every estimating equation is linear in the counts, so that noise of mean zero leaves it right on
average, and what sampling and noise do to a figure can be told from the counts themselves.
"""
