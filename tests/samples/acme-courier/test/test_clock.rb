require "test_helper"

class TestClock < Minitest::Test
  def test_a_time_of_the_day
    assert_equal "08:05", Courier::Eta.clock(485)
  end

  def test_after_midnight_the_clock_starts_again
    assert_equal "00:00", Courier::Eta.clock(1440)
    assert_equal "01:10", Courier::Eta.clock(1510)
  end
end
