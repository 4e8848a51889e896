require "test_helper"

class TestTrackingNumber < Minitest::Test
  def setup
    @tracking = Courier::Tracking.new
    @tracking.record("AC-1042", "on the van")
  end

  def test_a_number_may_be_typed_in_any_case_and_with_blanks_around
    assert_equal "on the van", @tracking.latest("AC-1042")
    assert_equal "on the van", @tracking.latest("ac-1042")
    assert_equal "on the van", @tracking.latest(" AC-1042 ")
  end

  def test_an_unknown_number_gives_nothing
    assert_nil @tracking.latest("AC-1")
  end
end
