require "test_helper"

class TestReport < Minitest::Test
  def test_a_tour_sheet_has_a_line_for_each_stop
    sheet = Courier::Report.sheet("Ana", [stop("Baker", PORTO), stop("Florist", BRAGA)], [485, 530])
    assert_equal "Tour of Ana\n1. 08:05  Baker  (any time)\n2. 08:50  Florist  (any time)", sheet
  end
end
