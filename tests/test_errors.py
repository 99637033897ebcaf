import pickle

from animelm.errors import UserError


def test_an_error_comes_back_whole_from_a_worker_process():
    error = pickle.loads(pickle.dumps(UserError("a.md: not UTF-8")))
    assert isinstance(error, UserError) and str(error) == "a.md: not UTF-8"
