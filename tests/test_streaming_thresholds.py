"""Thresholds that follow the errors of a stream, and detectors with one."""

import pickle

import numpy as np
import pytest
import skops.io
from sklearn.base import clone
from sklearn.covariance import EllipticEnvelope
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skae
from skae import AutoencoderOutlierDetector
from skae.streaming import AdaptiveConformal, QuantileReservoir, StreamingOutlierDetector

THRESHOLDS = [QuantileReservoir(random_state=0), AdaptiveConformal()]
every_threshold = pytest.mark.parametrize("threshold", THRESHOLDS, ids=lambda t: type(t).__name__)
ERRORS = np.random.default_rng(0).exponential(size=6000)


class TestEveryThreshold:
    @every_threshold
    @pytest.mark.parametrize("learn_flagged", [True, False])
    def test_chunks_make_no_difference_nor_does_pickling(self, threshold, learn_flagged):
        whole, in_chunks = clone(threshold), clone(threshold)
        expected = whole.update(ERRORS[:3000], learn_flagged=learn_flagged)
        found = []
        for chunk in np.split(ERRORS[:3000], [1, 2, 40, 1500, 1500]):
            in_chunks = pickle.loads(pickle.dumps(in_chunks))
            found.append(in_chunks.update(chunk, learn_flagged=learn_flagged))
        np.testing.assert_array_equal(np.concatenate(found), expected)
        assert in_chunks.threshold_ == whole.threshold_
        assert in_chunks.n_seen_ == 3000

    @every_threshold
    def test_nothing_is_flagged_until_there_are_enough_errors(self, threshold):
        threshold = clone(threshold)
        if isinstance(threshold, AdaptiveConformal):
            threshold.set_params(step=1e-9)
        for n_seen in range(1, 19):
            assert not threshold.update([float(n_seen)]).any()
            assert threshold.threshold_ == np.inf
        assert not threshold.update([0.5]).any()
        assert threshold.threshold_ == 18.0  # the largest of 19
        assert threshold.update([18.1]).all()

    @every_threshold
    def test_the_rate_is_kept_on_a_stationary_stream(self, threshold):
        rates = []
        for seed in range(8):
            errors = np.random.default_rng(seed).normal(size=6000)
            rates.append(clone(threshold).set_params(rate=0.1).update(errors)[2000:].mean())
        # Over seeds, the standard deviation of a rate is about 0.008 and 0.001.
        assert np.mean(rates) == pytest.approx(0.1, abs=0.012)

    @every_threshold
    @pytest.mark.parametrize("change", [lambda e: e + 5, lambda e: 2 * e], ids=["jump", "scale"])
    def test_the_rate_returns_after_a_change(self, threshold, change):
        errors = np.concatenate([ERRORS[:3000], change(np.tile(ERRORS[3000:], 8))])
        flagged = clone(threshold).update(errors)
        assert flagged[3000:4000].mean() > 0.052 or isinstance(threshold, AdaptiveConformal)
        assert flagged[-5000:].mean() == pytest.approx(0.05, abs=0.03)

    @every_threshold
    @pytest.mark.parametrize("errors", [[[1.0]], [np.nan], ["a"], 3.0])
    def test_bad_errors_are_refused(self, threshold, errors):
        with pytest.raises(ValueError, match=r"errors must be|convert string|scalar"):
            clone(threshold).update(errors)

    @pytest.mark.parametrize(
        "threshold",
        [
            QuantileReservoir(1.5),
            QuantileReservoir(size=0),
            QuantileReservoir(memory=0),
            AdaptiveConformal(step=0),
        ],
    )
    def test_bad_parameters_are_refused(self, threshold):
        with pytest.raises(ValueError, match="parameter of"):
            threshold.update([1.0])

    @every_threshold
    def test_infinite_errors_are_judged(self, threshold):
        threshold = clone(threshold)
        threshold.update(ERRORS[:100])
        assert threshold.update([np.inf]).all()


class TestQuantileReservoir:
    def test_without_forgetting_it_is_the_quantile_of_all(self):
        threshold = QuantileReservoir(0.1, size=2000, memory=None)
        threshold.update(ERRORS[:1999])
        assert threshold.threshold_ == np.sort(ERRORS[:1999])[1799]  # the 1,800th of 1,999

    def test_long_past_errors_fade(self):
        forgetting, keeping = (
            QuantileReservoir(0.5, size=100, memory=memory, random_state=0)
            for memory in (500, None)
        )
        for threshold in (forgetting, keeping):
            threshold.update(np.zeros(5000))
            threshold.update(np.ones(4000))
        assert forgetting.threshold_ == 1.0
        assert keeping.threshold_ == 0.0

    def test_what_is_flagged_is_not_learned_unless_told(self):
        for learn_flagged in (False, True):
            threshold = QuantileReservoir(random_state=0)
            threshold.update(ERRORS[:2000])
            flagged = threshold.update(np.full(20_000, 50.0), learn_flagged=learn_flagged)
            assert flagged.all() != learn_flagged
            assert (threshold.threshold_ > ERRORS[:2000].max()) == learn_flagged

    def test_the_rate_lasts_if_flagged_errors_are_not_learned(self):
        rates = []
        for seed in range(4):
            errors = np.random.default_rng(seed).exponential(size=100_000)
            threshold = QuantileReservoir(0.1, size=500, memory=1500, random_state=seed)
            threshold.update(errors[:1500])
            flagged = threshold.update(errors[1500:], learn_flagged=False)
            rates.append(flagged[-50_000:].mean())
        # Over seeds, the standard deviation of a rate is about 0.003.
        assert np.mean(rates) == pytest.approx(0.1, abs=0.008)

    def test_the_quantile_of_censored_errors(self):
        threshold = QuantileReservoir(0.5, size=20, memory=None, random_state=0)
        threshold.update([1.0])
        assert threshold.threshold_ == 1.0
        threshold.update([2.0, 0.5, 0.8])  # learned, so that 1 is exceeded by two fifths
        assert threshold.threshold_ == 1.0
        threshold.update([3.0, 3.0, 3.0, 0.2], learn_flagged=False)
        # Of the next of nine, 1 is exceeded by five, one of them 2. Known are 0.2, 0.5, 0.8, 1, 2.
        assert threshold.threshold_ == 2.0

    def test_the_tail_beyond_the_known_errors(self):
        threshold = QuantileReservoir(0.5, size=20, memory=None, random_state=0)
        threshold.update([1.0, 0.5, 0.8, 0.4, 0.9])
        assert threshold.threshold_ == 0.8
        threshold.update([0.7, *[3.0] * 8], learn_flagged=False)
        # Known are 0.4, 0.5, 0.7, 0.8, 0.9 and 1. Two are only known to be above 0.8, two above
        # 0.9, four above 1, which is exceeded by 11/15 * 8/9 * 5/6 of all.
        survival, mean_excess = 11 / 15 * 8 / 9 * 5 / 6, (0.3 + 0.6 + 1.5) / 3
        assert threshold.threshold_ == pytest.approx(1 + mean_excess * np.log(survival / 0.5))

    def test_told_to_learn_after_a_fault_it_stays_finite(self):
        threshold = QuantileReservoir(random_state=0)
        threshold.update(ERRORS[:5000])
        before = threshold.threshold_
        assert threshold.update(np.full(5000, 50.0), learn_flagged=False).all()
        threshold.update(ERRORS[5000:5020])
        assert before <= threshold.threshold_ < 20
        assert threshold.update([1e9]).all()

    def test_a_rate_next_to_one_is_below_the_smallest_error(self):
        threshold = QuantileReservoir(1 - 1e-10, random_state=0)
        threshold.update([3.0, 1.0, 2.0])
        assert threshold.threshold_ == 1.0

    def test_a_sample_of_one(self):
        threshold = QuantileReservoir(0.6, size=1, memory=1, random_state=0)
        threshold.update([1.0, 0.5, 2.0, 2.0], learn_flagged=False)
        assert threshold.threshold_ == 0.5


class TestAdaptiveConformal:
    def test_the_level_follows_the_published_rule(self):
        threshold = AdaptiveConformal(0.1, step=0.02)
        flagged = threshold.update(ERRORS[:500])
        steps = np.where(flagged, 0.02 * (0.1 - 1), 0.02 * 0.1)
        assert threshold.level_ == pytest.approx(0.1 + steps.sum())

    def test_the_bound_on_the_rate_holds_for_any_stream(self):
        # Gibbs and Candes (2021), proposition 4.1.
        errors = np.cumsum(np.random.default_rng(0).normal(size=4000) ** 3)
        for learn_flagged in (True, False):
            flagged = AdaptiveConformal(0.1, step=0.01).update(errors, learn_flagged=learn_flagged)
            assert abs(flagged.mean() - 0.1) <= (0.9 + 0.01) / (4000 * 0.01)

    def test_only_the_last_errors_are_kept(self):
        threshold = AdaptiveConformal(0.5, size=10, step=1e-9)
        threshold.update(np.full(100, 9.0))
        threshold.update(np.arange(10) / 10)
        assert threshold.threshold_ == 0.5  # the 6th of 10


@pytest.fixture(scope="module")
def envelope():
    X = np.random.default_rng(0).normal(size=(500, 3))
    return EllipticEnvelope(random_state=0).fit(X)


def warm(envelope, threshold):
    rows = np.random.default_rng(1).normal(size=(1000, 3))
    threshold = clone(threshold)
    threshold.update(-envelope.score_samples(rows))
    return threshold


class TestStreamingOutlierDetector:
    @every_threshold
    def test_rows_are_judged_before_they_are_learned_from(self, envelope, threshold):
        threshold = warm(envelope, threshold)
        X = np.random.default_rng(2).normal(size=(300, 3))
        X[::50] = 20
        stream = StreamingOutlierDetector(envelope, threshold)
        labels = np.concatenate([stream.update(chunk) for chunk in np.array_split(X, 7)])
        expected = pickle.loads(pickle.dumps(threshold))
        flagged = expected.update(-envelope.score_samples(X), learn_flagged=False)
        np.testing.assert_array_equal(labels, np.where(flagged, -1, 1))
        assert (labels[::50] == -1).all()
        assert stream.offset_ == -expected.threshold_
        np.testing.assert_array_equal(stream.scores_, envelope.score_samples(X[-42:]))
        assert threshold.n_seen_ == 1000  # as it was

    def test_anomalies_change_nothing_unless_told(self, envelope):
        for learn_flagged in (False, True):
            threshold = warm(envelope, THRESHOLDS[0])
            stream = StreamingOutlierDetector(envelope, threshold, learn_flagged=learn_flagged)
            labels = [stream.update(np.full((500, 3), 20.0)) for _ in range(10)]
            assert (labels[-1] == 1).all() == learn_flagged

    def test_a_detector_learns_if_told(self):
        X = np.random.default_rng(0).random((400, 4), dtype=np.float32)
        detector = AutoencoderOutlierDetector(
            hidden_layer_sizes=8, latent_dim=3, random_state=0, learning_rate=0.01, epochs=40
        ).fit(X)
        before = detector.score_samples(X)
        stream = StreamingOutlierDetector(detector, QuantileReservoir(random_state=0), learn="both")
        labels = stream.update(X[:200])
        expected = pickle.loads(pickle.dumps(detector)).partial_fit(X[:200][labels == 1])
        np.testing.assert_array_equal(stream.score_samples(X), expected.score_samples(X))
        assert (stream.score_samples(X) != before).any()
        np.testing.assert_array_equal(detector.score_samples(X), before)

    def test_it_begins_with_the_errors_that_the_detector_keeps(self):
        X = np.random.default_rng(0).random((400, 4), dtype=np.float32)
        detector = AutoencoderOutlierDetector(
            hidden_layer_sizes=8, latent_dim=3, random_state=0, learning_rate=0.01, epochs=40
        ).fit(X)
        stream = StreamingOutlierDetector(detector, QuantileReservoir(random_state=0))
        stream.update(X[:1])
        assert stream.rule_.n_seen_ == 1 + len(detector.calibration_errors_)
        assert np.isfinite(stream.offset_)

    def test_pickled_in_the_middle_it_resumes(self, envelope):
        X = np.random.default_rng(2).normal(size=(300, 3))
        stream = StreamingOutlierDetector(envelope, warm(envelope, THRESHOLDS[0]))
        stream.update(X[:100])
        again = pickle.loads(pickle.dumps(stream))
        loaded = skops.io.loads(skops.io.dumps(stream.rule_), trusted=[*skae.TRUSTED_TYPES])
        np.testing.assert_array_equal(again.update(X[100:]), stream.update(X[100:]))
        loaded.update(-envelope.score_samples(X[100:]), learn_flagged=False)
        assert loaded.threshold_ == stream.rule_.threshold_

    def test_a_chunk_that_is_refused_leaves_no_trace(self, envelope):
        stream = StreamingOutlierDetector(envelope, warm(envelope, THRESHOLDS[0]))
        stream.update(np.zeros((5, 3)))
        before = pickle.dumps(stream)
        with pytest.raises(ValueError, match="2 features"):
            stream.update(np.zeros((5, 2)))
        assert pickle.dumps(stream) == before

    def test_unfit_parts_are_refused(self, envelope):
        with pytest.raises(NotFittedError):
            StreamingOutlierDetector(EllipticEnvelope(), THRESHOLDS[0]).update(np.zeros((5, 3)))
        pipeline = make_pipeline(StandardScaler(), EllipticEnvelope(random_state=0))
        pipeline.fit(np.random.default_rng(0).normal(size=(50, 3)))
        with pytest.raises(ValueError, match="'both' needs an estimator with partial_fit"):
            StreamingOutlierDetector(pipeline, THRESHOLDS[0], learn="both").update([[0, 0, 0]])
        with pytest.raises(ValueError, match="'threshold' parameter"):
            StreamingOutlierDetector(envelope, 0.5).update(np.zeros((5, 3)))
        with pytest.raises(NotFittedError, match="call update first"):
            StreamingOutlierDetector(envelope, THRESHOLDS[0]).predict(np.zeros((5, 3)))
