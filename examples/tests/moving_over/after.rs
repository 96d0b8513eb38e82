use redis::AsyncCommands;

#[tokio::test]
async fn the_cache_keeps_a_stock() -> Result<(), Box<dyn std::error::Error>> {
    let Some(image) = crate::redis_image().await else {
        return Ok(());
    };
    let chaos = chaos_test::ChaosContext::start().await?;
    let redis = chaos.container("redis", image).await?;
    let port = redis.address(6379).port();

    let client = redis::Client::open(("127.0.0.1", port))?;
    let mut connection = client.get_multiplexed_async_connection().await?;
    connection.set::<_, _, ()>("stock:42", 55).await?;
    let stock: u64 = connection.get("stock:42").await?;
    assert_eq!(stock, 55);
    Ok(())
}
