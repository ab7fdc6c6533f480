"""The table of a run's numbers."""

from preimage.report.tables import summary_table

OF_RUN = {"residual": 0.01, "iterations": 7, "seconds": 3.0}


def test_one_unknown_is_one_row():
    titles, rows = summary_table({"psnr": 30.0, "ssim": 0.9, **OF_RUN})
    assert titles == ["PSNR", "SSIM", "residual", "iterations", "time"]
    assert rows == [["30.00 dB", "0.9000", "0.01", "7", "3.0 s"]]


def test_several_unknowns_are_a_row_each_and_the_numbers_of_the_run_stand_in_the_first():
    titles, rows = summary_table({"psnr_image": 30.0, "nrmse_image": 0.1, "psnr_kernel_x": 20.0, **OF_RUN})
    assert titles == ["unknown", "PSNR", "NRMSE", "residual", "iterations", "time"]
    assert rows == [["image", "30.00 dB", "0.1000", "0.01", "7", "3.0 s"], ["kernel_x", "20.00 dB", "", "", "", ""]]


def test_without_a_truth_there_are_the_numbers_of_the_run():
    titles, rows = summary_table(OF_RUN)
    assert titles == ["residual", "iterations", "time"]
    assert len(rows) == 1
