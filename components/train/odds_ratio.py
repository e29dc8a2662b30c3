"""The loss of ORPO (Hong et al. 2024, arXiv:2403.07691): cross-entropy plus an odds ratio."""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, logsigmoid

from components.train.answer_loss import AnswerTokens

LN_2 = 0.6931471805599453


def mean_log_probabilities(found: AnswerTokens, rows: int) -> Tensor:
    """Gives each row's mean log-probability per answer token: `log P(y|x)` of equation 2.

    Args:
        found: What the model says at the answers' tokens.
        rows: Rows of the batch, each with an answer.

    Returns:
        Nats, at most 0, `(rows,)`.
    """
    token = -cross_entropy(found.logits, found.targets, reduction="none")
    totals = token.new_zeros(rows).index_add(0, found.rows, token)
    return totals / torch.bincount(found.rows, minlength=rows)


def log_odds(log_probability: Tensor) -> Tensor:
    """Gives `log(p / (1 - p))` of `log p`: equation 4.

    `log(1 - exp(x))` has a form that is exact near 0 and one that is exact far from it; they
    change over at -ln 2 (Maechler 2012, Accurately computing log(1 - exp(-|a|)), equation 7). A
    probability that float32 cannot tell from 1 counts as the one just below it: its odds would be
    infinite, and the gradient not a number.

    Args:
        log_probability: Nats, at most 0.

    Returns:
        The same shape.
    """
    kept = log_probability.clamp(max=-torch.finfo(torch.float32).eps)
    near, far = kept.clamp(min=-LN_2), kept.clamp(max=-LN_2)
    others = torch.where(kept > -LN_2, (-near.expm1()).log(), (-far.exp()).log1p())
    return kept - others


def orpo_loss(chosen: Tensor, rejected: Tensor, odds_weight: float) -> Tensor:
    """Gives the loss of each pair: equations 6 and 7.

    Args:
        chosen: Mean log-probability per token of the better answers, `(pairs,)`.
        rejected: Of the worse ones, `(pairs,)`.
        odds_weight: The paper's lambda.

    Returns:
        `-chosen - odds_weight * log sigmoid(log odds(chosen) - log odds(rejected))`, `(pairs,)`.
    """
    return -chosen - odds_weight * logsigmoid(log_odds(chosen) - log_odds(rejected))
