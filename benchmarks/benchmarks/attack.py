"""Victims and attacks: steps of training, queries, reconstructions, memory."""


class Attack:
    """A victim and public images, 8 x 8 and 28 x 28 pixels, on one thread."""

    params = [8, 28]
    param_names = ("pixels",)
    timeout = 300

    def setup(self, pixels):
        try:
            import torch
        except ImportError as error:  # the suite also runs without the extra `attack`
            raise NotImplementedError(str(error)) from error
        import kldiv_attack

        torch.set_num_threads(1)
        self.package = kldiv_attack
        self.data = kldiv_attack.load_dataset(
            "glyphs", split="digits", size=pixels, n_per_class=100
        )
        self.victim = self.train()
        self.gan = self.attack(steps=1)

    def train(self):
        return self.package.train_victim(self.data, epochs=1, device="cpu")

    def attack(self, steps):
        gan = self.package.make_attacker(
            "cgan", steps=steps, consistency=None, device="cpu"
        )
        return gan.fit_ideal(self.data)


class Steps(Attack):
    """Training: one epoch of a victim, and twenty steps of the conditional GAN."""

    def time_victim_epoch(self, pixels):
        self.train()

    def time_cgan_20_steps(self, pixels):
        self.attack(steps=20)

    def peakmem_cgan_20_steps(self, pixels):
        self.attack(steps=20)


class Use(Attack):
    """What is done often once training is over."""

    def time_query_1000(self, pixels):
        self.victim.query(self.data.images)

    def time_invert_100(self, pixels):
        self.gan.invert(range(10), n=10)
