"""Comparison without live traffic: one workload on several backends in turn, measured, and told as a page.

``rounds.py`` plays the rounds, ``play.py`` one run of them; ``records.py`` is what its processes have seen,
``tally.py`` and ``measures.py`` what that comes to, ``report.py`` and ``page.py`` how it is told.
"""
