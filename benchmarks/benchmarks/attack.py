"""Victims and attacks: steps of training, queries, reconstructions, memory."""

try:
    import torch

    from kldiv_attack import load_dataset, make_attacker, train_victim
except ImportError:  # the suite also runs without the extra `attack`
    torch = None


class Attack:
    """A victim and public images, 8 x 8 and 28 x 28 pixels, on one thread."""

    params = [8, 28]
    param_names = ("pixels",)
    timeout = 300

    def setup(self, pixels):
        if torch is None:
            raise NotImplementedError("needs the extra `attack`")
        torch.set_num_threads(1)
        self.data = load_dataset("glyphs", split="digits", size=pixels, n_per_class=100)
        self.victim = train_victim(self.data, epochs=1, device="cpu")
        self.gan = make_attacker("cgan", steps=1, consistency=None, device="cpu")
        self.gan.fit_ideal(self.data)


class Steps(Attack):
    """Training: one epoch of a victim, and twenty steps of the conditional GAN."""

    def time_victim_epoch(self, pixels):
        train_victim(self.data, epochs=1, device="cpu")

    def time_cgan_20_steps(self, pixels):
        gan = make_attacker("cgan", steps=20, consistency=None, device="cpu")
        gan.fit_ideal(self.data)

    def peakmem_cgan_20_steps(self, pixels):
        self.time_cgan_20_steps(pixels)


class Use(Attack):
    """What is done often once training is over."""

    def time_query_1000(self, pixels):
        self.victim.query(self.data.images)

    def time_invert_100(self, pixels):
        self.gan.invert(range(10), n=10)
