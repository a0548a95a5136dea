"""The analysts' page: one HTML file of the published marts, without network: `make dashboard`, docs/dashboard.md.

Its figures are those of `queries/`, summed by `page.js`, which draws them too: plain SVG and tables, no library.
"""
