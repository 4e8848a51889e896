require "test_helper"

class TestArrivals < Minitest::Test
  def test_driving_and_handing_over_take_time
    assert_equal [510, 529], Courier::Eta.arrivals(480, [20, 10], 40)
  end

  def test_no_legs_no_arrivals
    assert_equal [], Courier::Eta.arrivals(480, [], 40)
  end
end
