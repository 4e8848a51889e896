require "test_helper"

class TestVanWeight < Minitest::Test
  def test_a_van_never_carries_more_than_its_limit
    vans = [Courier::Van.new("A", 100), Courier::Van.new("B", 100)]
    parcels = [60, 50, 40, 30].map.with_index { |weight, index| Courier::Parcel.new("AC-#{index}", weight) }
    left = Courier::Loading.spread(parcels, vans)
    assert_empty left
    assert_equal [100, 80], vans.map(&:load_weight)
  end

  def test_what_finds_no_place_is_given_back
    parcel = Courier::Parcel.new("AC-9", 500)
    assert_equal [parcel], Courier::Loading.spread([parcel], [Courier::Van.new("A", 100)])
  end
end
