require "test_helper"

class TestLastStop < Minitest::Test
  def test_every_stop_is_visited_once
    stops = [stop("far", Courier::Place.new(3, 0)), stop("near", Courier::Place.new(1, 0)), stop("middle", Courier::Place.new(2, 0))]
    tour = Courier::Route.new(Courier::Place.new(0, 0), stops).ordered
    assert_equal %w[near middle far], tour.map(&:name)
  end

  def test_a_single_stop_is_a_tour
    assert_equal ["only"], Courier::Route.new(PORTO, [stop("only", BRAGA)]).ordered.map(&:name)
  end
end
