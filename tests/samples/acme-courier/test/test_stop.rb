require "test_helper"

class TestStop < Minitest::Test
  def test_both_ends_of_the_window_belong_to_it
    shop = Courier::Stop.new(name: "shop", place: PORTO, opens: 540, closes: 720)
    assert shop.open_at?(540)
    assert shop.open_at?(720)
    refute shop.open_at?(721)
    assert_equal "09:00-12:00", shop.window
  end

  def test_a_stop_without_window_is_always_open
    assert stop("home", PORTO).open_at?(3)
  end
end
