from animelm.train.processes import of_all


def test_one_process_alone_is_all_processes() -> None:
    assert of_all({"rank": 0}) == [{"rank": 0}]
