require "test_helper"

class TestDistance < Minitest::Test
  def test_from_porto_to_lisbon
    assert_in_delta 274, Courier::Geo.distance_km(PORTO, LISBON), 3
  end

  def test_a_degree_of_longitude_shrinks_towards_the_pole
    north = Courier::Geo.distance_km(Courier::Place.new(60, 10), Courier::Place.new(60, 11))
    assert_in_delta 55.6, north, 0.5
  end

  def test_no_distance_to_oneself
    assert_equal 0, Courier::Geo.distance_km(PORTO, PORTO)
  end
end
