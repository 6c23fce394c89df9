"""Stands before pandas on the path of clusters and clients: pyarrow imports it with the first array, where it is."""

raise ImportError("the clusters of these tests do without pandas, as an environment of ours alone does")
