"""The parts of a comparison: its models, answers kept between runs, outcomes, likelihoods."""
