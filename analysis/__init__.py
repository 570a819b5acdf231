"""Analysis: a sweep's tidy tables in, figures and the report out. Nothing of TensorFlow or Ray is imported here.

- `statistics`: numbers; knows no drawing.
- `figures`: drawings with their captions; knows no page.
- `report`: the page of a sweep.
- `reproduction`: the page of a reproduced source report.
- `site`: the leaderboard, pages of published races.
- `style`, `words` and `errors` serve all of them.
"""
