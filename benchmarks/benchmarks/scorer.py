"""One score per class."""

from kldiv import ConditionalKLScorer

from .common import N_JOBS, labelled


class Scorer:
    """Ten classes of 300 rows on either side."""

    params = ([8, 784], N_JOBS)
    param_names = ("n_features", "n_jobs")

    def setup(self, n_features, n_jobs):
        X, y = labelled(6000, n_features)
        self.train, self.aux = (X[::2], y[::2]), (X[1::2], y[1::2])

    def time_fit(self, n_features, n_jobs):
        ConditionalKLScorer(n_jobs=n_jobs).fit(self.train, self.aux)

    def peakmem_fit(self, n_features, n_jobs):
        ConditionalKLScorer(n_jobs=n_jobs).fit(self.train, self.aux)


class ManyClasses:
    """A thousand small classes: the overhead of one."""

    def setup(self):
        X, y = labelled(20_000, 4, n_classes=1000)
        self.train, self.aux = (X[::2], y[::2]), (X[1::2], y[1::2])

    def time_fit(self):
        ConditionalKLScorer(transformer=None).fit(self.train, self.aux)
